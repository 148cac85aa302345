"""The params that a pass evaluates, with what was made of them alone."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar, overload

from daskem.core.parameters import Params

T = TypeVar("T")


class Candidates(Sequence[Params]):
    """Params of one model, in their order.

    What a model makes of params alone (roots, natural parameters, log-determinants) it makes once
    in a process and pass, and not for each block: it stays here, and does not travel.
    """

    def __init__(self, params: Iterable[Params]) -> None:
        self._params = tuple(params)
        # By the identity of who made it, which is kept too, so that nobody else can have that.
        self._made: dict[int, tuple[object, Any]] = {}

    def made(self, maker: object, make: Callable[[Sequence[Params]], T]) -> T:
        """What `make` makes of the params, for `maker`, unless it was made before.

        Threads that come at the same time may both make it, and get the same.
        """
        if id(maker) not in self._made:
            self._made[id(maker)] = maker, make(self)
        made: T = self._made[id(maker)][1]
        return made

    def __len__(self) -> int:
        return len(self._params)

    def __iter__(self) -> Iterator[Params]:
        return iter(self._params)

    @overload
    def __getitem__(self, index: int) -> Params: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Params]: ...
    def __getitem__(self, index: int | slice) -> Params | Sequence[Params]:
        return self._params[index]

    def __reduce__(self) -> tuple[type["Candidates"], tuple[tuple[Params, ...]]]:
        return Candidates, (self._params,)
