"""Running the program inside the tests."""

from fpdm.cli import main


def run(capsys, *tokens: object) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of a command."""
    code = 0
    try:
        main([str(token) for token in tokens])
    except SystemExit as stop:
        code = stop.code
    captured = capsys.readouterr()
    return code, captured.out, captured.err
