"""Plain help texts with the options in sections."""

from __future__ import annotations

from typing import Any

from typer.core import TyperCommand

_WITHOUT_SECTION = "Options"


class Command(TyperCommand):
    """A command whose help lists options under the headings that ``rich_help_panel`` names."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write arguments, then options by section, those without a section first."""
        sections: dict[str, list[tuple[str, str]]] = {"Arguments": [], _WITHOUT_SECTION: []}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is None:
                continue
            is_argument = parameter.param_type_name == "argument"
            name = "Arguments" if is_argument else getattr(parameter, "rich_help_panel", None) or _WITHOUT_SECTION
            sections.setdefault(name, []).append(record)
        for name, records in sections.items():
            if records:
                with formatter.section(name):
                    formatter.write_dl(records)
