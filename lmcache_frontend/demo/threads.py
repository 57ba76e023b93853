# SPDX-License-Identifier: Apache-2.0
"""The threads of a simulated node and the text of ``/threads``. Pure.

Most threads wait where they always wait; some move with the time, so that two looks differ. Format: LMCache 0.5.6,
``common/thread_api.py``, whose frames are those of CPython 3.11's ``traceback``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from lmcache_frontend.demo.answers import Answer, Request, plain

_STANDARD = "/usr/local/lib/python3.11"
_PACKAGES = "/usr/local/lib/python3.11/site-packages"


class Frame(NamedTuple):
    """One frame; ``source`` is empty where Python has no source line."""

    path: str
    line: int
    function: str
    source: str


class Thread(NamedTuple):
    """A thread and the stacks (oldest frame first) it goes through; ``main`` has no bootstrap frames."""

    name: str
    stacks: tuple[tuple[Frame, ...], ...]
    daemon: bool = True
    kind: str = "Thread"


_BOOTSTRAP = (
    Frame(f"{_STANDARD}/threading.py", 1002, "_bootstrap", "self._bootstrap_inner()"),
    Frame(f"{_STANDARD}/threading.py", 1045, "_bootstrap_inner", "self.run()"),
    Frame(f"{_STANDARD}/threading.py", 982, "run", "self._target(*self._args, **self._kwargs)"),
)
_TIMED_WAIT = (
    Frame(f"{_STANDARD}/threading.py", 629, "wait", "signaled = self._cond.wait(timeout)"),
    Frame(f"{_STANDARD}/threading.py", 331, "wait", "gotit = waiter.acquire(True, timeout)"),
)
_QUEUE_WAIT = (
    Frame(f"{_STANDARD}/queue.py", 171, "get", "self.not_empty.wait()"),
    Frame(f"{_STANDARD}/threading.py", 327, "wait", "waiter.acquire()"),
)
_LOOP = (
    Frame(f"{_STANDARD}/asyncio/base_events.py", 607, "run_forever", "self._run_once()"),
    Frame(f"{_STANDARD}/asyncio/base_events.py", 1884, "_run_once", "event_list = self._selector.select(timeout)"),
    Frame(f"{_STANDARD}/selectors.py", 468, "select", "fd_event_list = self._selector.poll(timeout, max_ev)"),
)
_RUNPY = (
    Frame("<frozen runpy>", 198, "_run_module_as_main", ""),
    Frame("<frozen runpy>", 88, "_run_code", ""),
)


def _own(path: str, line: int, function: str, source: str) -> Frame:
    return Frame(f"{_PACKAGES}/lmcache/{path}", line, function, source)


def _zmq(line: int, source: str) -> Frame:
    return Frame(f"{_PACKAGES}/zmq/sugar/socket.py", line, "recv_multipart", source)


def _periodic(name: str) -> Thread:
    waits = _own("v1/periodic_thread.py", 366, "_run_loop", "self._wake_event.wait(timeout=self._interval)")
    return Thread(name, ((waits, *_TIMED_WAIT),))


def _server_thread(name: str) -> Thread:
    answers = (
        Frame(f"{_STANDARD}/asyncio/runners.py", 190, "run", "return runner.run(main)"),
        Frame(f"{_STANDARD}/asyncio/base_events.py", 607, "run_forever", "self._run_once()"),
        Frame(f"{_STANDARD}/asyncio/events.py", 80, "_run", "self._context.run(self._callback, *self._args)"),
        Frame(f"{_PACKAGES}/fastapi/routing.py", 352, "run_endpoint_function", "return await dependant.call(**values)"),
        _own(
            "v1/internal_api_server/common/thread_api.py",
            48,
            "get_threads",
            "stack_trace = traceback.format_stack(stack_frames)",
        ),
    )
    return Thread(name, (answers,))


_STATS = Thread(
    "stats-logger-thread",
    ((_own("observability.py", 1982, "log_worker", "self.shutdown_event.wait(self.log_interval)"), *_TIMED_WAIT),),
)
_ENGINE_CORE = Frame(f"{_PACKAGES}/vllm/v1/engine/core.py", 1024, "run_busy_loop", "self._process_engine_step()")

WORKER = (
    Thread(
        "MainThread",
        (
            (
                Frame(
                    f"{_PACKAGES}/vllm/v1/executor/multiproc_executor.py",
                    718,
                    "worker_busy_loop",
                    "method, args, kwargs, output_rank = self.rpc_broadcast_mq.dequeue(",
                ),
                Frame(
                    f"{_PACKAGES}/vllm/distributed/device_communicators/shm_broadcast.py",
                    533,
                    "acquire_read",
                    "self._spin_condition.wait()",
                ),
            ),
            (
                Frame(
                    f"{_PACKAGES}/vllm/v1/worker/gpu_worker.py",
                    512,
                    "execute_model",
                    "output = self.model_runner.execute_model(scheduler_output)",
                ),
                _own("integration/vllm/vllm_v1_adapter.py", 871, "start_load_kv", "self.lmcache_engine.retrieve("),
                _own("v1/cache_engine.py", 941, "retrieve", "self.gpu_connector.batched_to_gpu("),
            ),
            (
                Frame(
                    f"{_PACKAGES}/vllm/v1/worker/gpu_worker.py",
                    512,
                    "execute_model",
                    "output = self.model_runner.execute_model(scheduler_output)",
                ),
                _own("integration/vllm/vllm_v1_adapter.py", 1120, "wait_for_save", "self.lmcache_engine.store("),
                _own("v1/cache_engine.py", 548, "store", "self.gpu_connector.batched_from_gpu("),
            ),
        ),
        daemon=False,
        kind="_MainThread",
    ),
    _STATS,
    _periodic("PinMonitor-thread"),
    Thread(
        "storage-manager-event-loop",
        ((_own("utils.py", 803, "start_loop_in_thread_with_exceptions", "loop.run_forever()"), *_LOOP),),
        daemon=False,
    ),
    Thread(
        "Thread-4 (process_request)",
        (
            (
                _own(
                    "v1/lookup_client/lmcache_lookup_client.py",
                    221,
                    "process_request",
                    "frames = self.transport.recv_request()",
                ),
                _zmq(799, "parts = [self.recv(flags, copy=copy, track=track)]"),
            ),
            (
                _own(
                    "v1/lookup_client/lmcache_lookup_client.py",
                    236,
                    "process_request",
                    "result = self.lmcache_engine.lookup(",
                ),
                _own(
                    "v1/cache_engine.py",
                    1239,
                    "lookup",
                    "hit_chunks, block_mapping = self.storage_manager.batched_contains(",
                ),
            ),
        ),
    ),
    _server_thread("api-server-thread"),
)
SCHEDULER = (
    Thread(
        "MainThread",
        (
            (_ENGINE_CORE, *_QUEUE_WAIT),
            (
                _ENGINE_CORE,
                Frame(
                    f"{_PACKAGES}/vllm/v1/core/sched/scheduler.py",
                    431,
                    "schedule",
                    "self.connector.get_num_new_matched_tokens(",
                ),
                _own("v1/lookup_client/lmcache_lookup_client.py", 131, "lookup", "results = self.transport.send_all("),
            ),
        ),
        daemon=False,
        kind="_MainThread",
    ),
    _STATS,
    _periodic("PinMonitor-thread"),
    _server_thread("api-server-thread"),
)
MULTIPROCESS = (
    _server_thread("MainThread")._replace(daemon=False, kind="_MainThread"),
    Thread(
        "EventBus",
        ((_own("v1/mp_observability/event_bus.py", 332, "_run", "self._wake.wait(timeout=0.1)"), *_TIMED_WAIT),),
    ),
    Thread(
        "Thread-1 (eviction_loop)",
        ((_own("v1/distributed/storage_controllers/eviction_controller.py", 165, "eviction_loop", "time.sleep(1)"),),),
    ),
    Thread(
        "Thread-3 (_store_loop)",
        (
            (
                _own(
                    "v1/distributed/storage_controllers/store_controller.py",
                    458,
                    "_store_loop",
                    "ready = poller.poll(STORE_LOOP_POLL_TIMEOUT_MS)",
                ),
            ),
        ),
    ),
    _periodic("SessionManager-cleanup-thread-7f0c1c1708d0"),
    _periodic("DeviceHostFuncDispatcher"),
    _periodic("lmcache-mp-worker-reaper"),
    _periodic("lmcache-usage-continuous"),
    _periodic("lmcache-usage-l2"),
    _periodic("lmcache-usage-l1"),
    Thread(
        "affinity-pool-0-0",
        (
            (_own("v1/multiprocess/affinity_pool.py", 77, "_worker", "item = q.get()"), *_QUEUE_WAIT),
            (
                _own("v1/multiprocess/affinity_pool.py", 84, "_worker", "result = task(*args)"),
                _own("v1/multiprocess/modules/lookup.py", 212, "lookup", "hits = self.storage_manager.lookup(keys)"),
            ),
        ),
    ),
    Thread(
        "mq-server-thread",
        (
            (
                _own(
                    "v1/multiprocess/transport/zmq_impl/mq.py",
                    763,
                    "_main_loop",
                    "socks = dict(self.poller.poll(1000))",
                ),
            ),
        ),
    ),
)


def with_stuck(threads: Sequence[Thread], late: Sequence[str]) -> Sequence[Thread]:
    """Give the threads with those named in ``late`` waiting for a lock that nobody gives back."""
    if not late:
        return threads
    waits = (
        _own("v1/periodic_thread.py", 352, "_run_loop", "summary = self._execute()"),
        _own("v1/pin_monitor.py", 148, "_execute", "with self._objects_lock:"),
    )
    return [thread._replace(stacks=(waits,)) if thread.name in late else thread for thread in threads]


def answer_threads(threads: Sequence[Thread], seed: int, now: float, request: Request) -> Answer:
    """Answer ``/threads`` with its filters: part of a name in any case, or an identifier (0 filters nothing)."""
    wanted_name, wanted_ident = request.text("name"), request.integer("thread_id")
    blocks = []
    for number, thread in enumerate(threads):
        ident = 139_900_000_000_000 + seed % 1000 * 67_108_864 + number * 8_392_704
        if wanted_name and wanted_name.lower() not in thread.name.lower():
            continue
        if wanted_ident and wanted_ident != ident:
            continue
        stack = thread.stacks[(int(now / 3) * 7 + seed + number) % len(thread.stacks)]
        blocks.append(_block(thread, ident, stack))
    return plain("\n\n".join(blocks) + f"\n\n=== Thread Summary ===\nTotal threads: {len(blocks)}\n")


def _block(thread: Thread, ident: int, stack: tuple[Frame, ...]) -> str:
    daemon = " daemon" if thread.daemon else ""
    lines = [f"Thread: <{thread.kind}({thread.name}, started{daemon} {ident})>\nStack trace:\n"]
    for frame in (*(_RUNPY if thread.kind == "_MainThread" else _BOOTSTRAP), *stack):
        lines.append(f'  File "{frame.path}", line {frame.line}, in {frame.function}\n')
        if frame.source:
            lines.append(f"    {frame.source}\n")
    return "".join(lines)
