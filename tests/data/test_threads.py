"""Threads of ours keep to the number that they are told."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import torch

from striate.data.threads import apart


def test_a_thread_keeps_to_its_number_when_it_computes() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with ThreadPoolExecutor(1, initializer=apart) as pool:
            pool.submit(int).result()
            torch.set_num_threads(2)  # as who begins it does
            assert pool.submit(lambda: (torch.ones(1 << 20).sum(), torch.get_num_threads())[1]).result() == 1
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
