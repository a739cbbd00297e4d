"""What pyproject.toml cannot say: genovi_demo (the folder data/) is data alone, without the script that made it."""

from setuptools import setup
from setuptools.command.build_py import build_py


class BuildWithoutDemoScripts(build_py):
    """Leave the Python files of data/ out: they need msprime, which is no dependency."""

    def find_package_modules(self, package: str, package_dir: str) -> list[tuple[str, str, str]]:
        """The modules of ``package``, none for the demo data."""
        return [] if package == "genovi_demo" else super().find_package_modules(package, package_dir)


setup(cmdclass={"build_py": BuildWithoutDemoScripts})
