"""Who can reach a cluster: whoever does can run any code there."""

import warnings
from functools import cache
from ipaddress import ip_address

from distributed import Client

from daskem.data.cluster.asking import address_of
from daskem.errors import OpenClusterWarning

# Ways to talk that show no certificate, and may leave this machine.
_PLAIN = {"tcp", "ws", "ucx", "ucxx"}


def tell_if_open(client: Client) -> None:
    """Warn, once, if the scheduler of a client listens to other machines without TLS."""
    address = address_of(client)
    scheme, _, rest = address.partition("://")
    if scheme in _PLAIN and not _is_loopback(rest.rpartition(":")[0].strip("[]")):
        _tell(address)


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@cache
def _tell(address: str) -> None:
    warnings.warn(
        f"the cluster at {address} listens on a network, without TLS: whoever reaches that port "
        "can run any code there, in the name of who started it. Let only a network that you "
        "trust reach it, start it on 127.0.0.1, or with TLS (Dask's Security, "
        "--tls-ca-file, --tls-cert, --tls-key)",
        OpenClusterWarning,
        stacklevel=2,
    )
