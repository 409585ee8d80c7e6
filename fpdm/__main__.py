"""`python -m fpdm`."""

from fpdm.cli import main

if __name__ == "__main__":
    main()
