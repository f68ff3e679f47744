"""Everything that can go wrong through no fault of the program, by what the user can mend.

Each message is one sentence that names the file and the remedy; the command line prints it as it is.
"""


class BeautyGANError(Exception):
    """Base of every error that this package raises on purpose."""


class PhotoError(BeautyGANError):
    """A photo or clip that can't be read: missing, broken, too large or of an unknown format."""


class FaceError(BeautyGANError):
    """A photo in which no usable face was found."""


class LookError(BeautyGANError):
    """A look file that says what no look can say, or whose references can't be used."""


class ModelError(BeautyGANError):
    """A model folder that lacks a file, a tensor or a variable, or holds what a model may not hold."""


class DatasetError(BeautyGANError):
    """A folder of faces that can't be trained or evaluated on."""


class OutputError(BeautyGANError):
    """A result that can't be written."""


class PageError(BeautyGANError):
    """The page can't be served."""


class StoppedError(Exception):
    """The run is to end before this is done; nobody's fault."""
