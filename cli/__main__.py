"""Where the command ``genovi`` starts."""

from __future__ import annotations


def main() -> None:
    """Run the command line and exit."""
    from genovi_cli.app import app

    app()


if __name__ == "__main__":
    main()
