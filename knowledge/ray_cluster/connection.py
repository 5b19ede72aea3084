"""The connection to a cluster by Ray Client: starts actors, calls them, and maps Ray's errors.

Each call of Ray blocks, so it runs in a thread of its own pool. A reply wakes the event loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import warnings
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Final, TypeVar

import ray
from ray.exceptions import AuthenticationError, RayTaskError

from knowledge.errors import ClusterError
from knowledge.ray_cluster.worker import WorkerLost
from knowledge.thread_pool import NamedThreadPool

_T = TypeVar("_T")

_CONNECT_S: Final = 120.0
_ANSWER_S: Final = 60.0
_CLOSE_S: Final = 10.0
_NO_MODULE: Final = "ModuleNotFoundError"


class RayConnection:
    """An open connection; ``connect`` makes it, and a process has one at a time."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._threads = NamedThreadPool("ray")

    async def connect(self) -> None:
        """Connect to the server.

        Raises:
            ClusterError: the token or the version is wrong, or the server does not answer.

        """
        try:
            await self._run(self._connect, _CONNECT_S)
        except AuthenticationError:
            raise ClusterError(
                f"The Ray cluster at {self._address} needs a token. Set RAY_AUTH_TOKEN, or RAY_AUTH_TOKEN_PATH to a "
                "file with it."
            ) from None
        except (ConnectionError, TimeoutError):
            raise ClusterError(
                f"{self._address} accepts connections, but not Kvasir's. Check that it is the port of the Ray Client "
                "server (10001 by default), and that RAY_AUTH_TOKEN is the token of the cluster."
            ) from None
        except Exception as error:
            if "ersion mismatch" not in str(error):
                raise ClusterError(
                    f"The Ray cluster at {self._address} refused the connection ({type(error).__name__}). Look into "
                    "the log of its head node."
                ) from error
            raise ClusterError(
                f"The Ray cluster at {self._address} has other versions of Ray or Python than this process, which has "
                f"Ray {ray.__version__}. Use the same image of Kvasir for both."
            ) from None

    def _connect(self) -> None:
        # Ray's warnings are about its own defaults, and go to standard error.
        warnings.filterwarnings("ignore", category=UserWarning, module=r"ray\.util\.client")
        ray.init(self._address, log_to_driver=False, logging_level=logging.CRITICAL)

    async def count_free_cores(self) -> int:
        """Return how many cores of the cluster no actor has.

        Raises:
            ConnectionError, TimeoutError: the head node does not answer.

        """
        return int((await self._run(ray.available_resources, _ANSWER_S)).get("CPU", 0))

    async def start_actor(self, kind: type, *arguments: object) -> Any:  # noqa: ANN401 - Ray has no types
        """Return an actor with a core of its own, which starts as soon as a node has one."""

        def start() -> Any:  # noqa: ANN401 - as above
            return ray.remote(kind).options(num_cpus=1, max_restarts=0, max_task_retries=0).remote(*arguments)

        return await self._run(start, _ANSWER_S)

    async def call(self, actor: Any, method: str, *arguments: object) -> Any:  # noqa: ANN401 - as above
        """Return the reply of an actor. Errors in its code are raised.

        Cancelled, it goes on there, and its reply is dropped.

        Raises:
            WorkerLost: there will be no reply.
            ClusterError: its node does not have Kvasir.

        """
        loop = asyncio.get_running_loop()
        reply: asyncio.Future[Any] = loop.create_future()

        def deliver(done: Future[Any]) -> None:
            with contextlib.suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(_copy_result, done, reply)

        def send() -> None:
            # Ray's own future must not be cancelled: its thread would end with an error.
            getattr(actor, method).remote(*arguments).future().add_done_callback(deliver)

        try:
            await self._threads.run(send)
            return await reply
        except RayTaskError:
            raise
        except Exception as error:
            if _NO_MODULE in str(error):
                raise ClusterError(
                    f"A node of the Ray cluster at {self._address} does not have this version of Kvasir. Use the same "
                    "image of Kvasir for all nodes."
                ) from None
            raise WorkerLost(type(error).__name__) from error

    def kill_actor(self, actor: Any) -> None:  # noqa: ANN401 - as above
        """End an actor, without a wait for it."""

        def kill() -> None:
            with contextlib.suppress(Exception):
                ray.kill(actor)

        self._threads.run_later(kill)

    async def close(self) -> None:
        """Disconnect, which ends all actors."""
        with contextlib.suppress(TimeoutError):
            await self._run(ray.shutdown, _CLOSE_S)
        self._threads.close()

    async def _run(self, call: Callable[[], _T], within_s: float) -> _T:
        async with asyncio.timeout(within_s):
            return await self._threads.run(call)


def _copy_result(done: Future[Any], reply: asyncio.Future[Any]) -> None:
    if reply.done():
        return
    if error := done.exception():
        reply.set_exception(error)
    else:
        reply.set_result(done.result())
