"""What can go wrong, by name. Messages are where it is found: place, numbers, what to do."""


class DaskemError(Exception):
    """Base of every error that daskem raises on purpose.

    Attributes
    ----------
    result : Result, Selection or None
        After the last complete pass of the fit that the error has ended.
    """

    result: object = None


class DataError(DaskemError, ValueError):
    """The data cannot be used as they are: shape, dtype, missing or impossible values."""


class DataTypeError(DataError, TypeError):
    """The data are of a kind that has no numbers in it: objects, strings, dates."""


class DataChangedError(DataError):
    """The data are not what they were when a fit began."""


class ChunkTooLargeError(DataError):
    """A chunk of the data does not fit into the memory of a worker."""


class MissingChunksError(DataError):
    """A store lacks chunks of the data, in whose place its fill value would be read."""


class DataReadError(DataError):
    """A chunk of the data cannot be read, or computed from what is read."""


class PoisonChunkError(DataError):
    """A chunk of the data kills the workers that it is given to."""


class StoreNotFoundError(DaskemError, FileNotFoundError):
    """A store, or an array in a store, is not there."""


class ParameterError(DaskemError, ValueError):
    """Parameters or settings of the wrong name, shape or range."""


class ModelError(DaskemError):
    """A model breaks the contract of an E step and an M step."""


class LikelihoodFellError(ModelError):
    """The objective of an accepted iterate fell by more than rounding can explain."""


class ModelFileError(DaskemError, ValueError):
    """A model file is not one, is damaged, or is from a newer daskem."""


class CheckpointError(DaskemError, RuntimeError):
    """A checkpoint cannot be written or read, or is not of the fit that is to go on."""


class KernelError(DaskemError, ImportError):
    """A fit is to use a kernel where there is not what that needs: numba, or CuPy and a GPU."""


class ClusterError(DaskemError, RuntimeError):
    """The cluster, or the way to it, was lost, or is not there."""


class NoWorkersError(ClusterError):
    """The cluster has no workers, and none have come for as long as one waits for them."""


class MixedClusterError(ClusterError):
    """The workers of the cluster compute different last bits, and a fit is to be strict."""


class SchedulerLostError(ClusterError):
    """The scheduler has died, its cluster was closed, or it does not answer."""


class SchedulerError(ClusterError):
    """The scheduler of the cluster cannot run a fit."""


class StoppedError(DaskemError):
    """A fit was stopped before there was anything to show."""


class NotFittedError(DaskemError, ValueError, AttributeError):
    """Something was asked of an estimator that only a fitted one can answer."""


class NoWorkersWarning(UserWarning):
    """The cluster has no workers just now: what it is to compute waits until some come."""


class OpenClusterWarning(UserWarning):
    """The cluster listens to other machines without TLS: whoever reaches it can run code there."""


class ImproperFitWarning(UserWarning):
    """A fit has components that are no clusters, and there is no better one; says which."""


class ConvergenceWarning(UserWarning):
    """A fit ended before it converged; the message says what to change."""
