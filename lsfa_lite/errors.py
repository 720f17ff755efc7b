"""What goes wrong for reasons that a user can mend, in kinds that a caller can tell apart.

A message names the file or the field, what was expected and what was found, and what to do. All
are ValueErrors; what Python has a name for (a missing file, one that is there already, a missing
package) is that too. `book/errors.md` lists them beside the exit statuses of the commands.
"""

from __future__ import annotations


class LSFAError(ValueError):
    """Any of these: bad input, named, with its cure. What is not one is an error of the system or
    of this package.
    """


class FileError(LSFAError):
    """A file or folder that cannot be used: damaged, or of another kind than expected."""


class MissingFile(FileError, FileNotFoundError):
    """A file or folder that is not there."""


class FileThere(FileError, FileExistsError):
    """A file or folder that would be overwritten."""


class SettingError(LSFAError):
    """A field of a config, an argument or an option with a value that it cannot have."""


class ModelError(LSFAError):
    """A model that cannot be used: not fitted, of another version, or made with other weights."""


class DataError(LSFAError):
    """Arrays or scans that are no scans, or do not fit each other or the model."""


class NoPart(DataError):
    """Nothing of a part was seen: no mistake of a file's, and the worst of defects."""


class MissingPackage(LSFAError, ModuleNotFoundError):
    """A package that only some settings need, and that is not installed."""
