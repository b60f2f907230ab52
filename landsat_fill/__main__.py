"""`python -m landsat_fill`: the command line without its entry point."""

from landsat_fill.cli.app import main

if __name__ == "__main__":
    main()
