"""Optional packages: an import that fails names the extra that installs what is missing."""

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def extra(name: str) -> Iterator[None]:
    """Add the command to install an extra to the error of a failed import.

    Parameters
    ----------
    name : str
        The extra of gmmlab that installs the packages that the block imports.

    Raises
    ------
    ModuleNotFoundError
        If a package is missing.

    Examples
    --------
    >>> with extra("workbook"):
    ...     import no_such_package
    Traceback (most recent call last):
    ModuleNotFoundError: no_such_package is not installed; run: pip install 'gmmlab[workbook]'
    """
    try:
        yield
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package in ("", "gmmlab"):  # not a missing package, but a mistake in this one
            raise
        message = f"{package} is not installed; run: pip install 'gmmlab[{name}]'"
        raise ModuleNotFoundError(message, name=error.name) from None
