"""The command line: the only place that prints."""


def main() -> None:
    """Run `landsat-fill`."""
    from landsat_fill.cli.app import app

    app()
