"""Lets `python -m audobon` stand for the `audobon` command."""

from audobon.cli.start import main

if __name__ == "__main__":
    main()
