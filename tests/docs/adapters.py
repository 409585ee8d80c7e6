"""What the page about adapters says runs, where peft is installed: `make adapters`."""

from tests.docs import pages
from tests.places import DOCS

PAGE = DOCS / "how-to" / "adapters.md"


def test_what_the_page_about_adapters_says_runs(here):
    names = pages.run_all(PAGE, here)
    assert (here / "bold" / "pytorch_lora_weights.safetensors").is_file()
    assert names["pipe"].get_list_adapters() == {}
