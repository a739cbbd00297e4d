"""``python -m genovi`` is the command ``genovi``."""

from genovi_cli.__main__ import main

if __name__ == "__main__":
    main()
