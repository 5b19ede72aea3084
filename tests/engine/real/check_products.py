"""Compare our products with exact ones: ``check_products.py PLAIN_CPU_FOLDER``, run with the engine's Python."""

from __future__ import annotations

import sys

import torch

sys.path.insert(0, sys.argv[1])

from linear import use_single_precision

plain = torch.nn.functional.linear
use_single_precision()
multiply = torch.nn.functional.linear
assert multiply is not plain

torch.manual_seed(0)
torch.set_num_threads(2)  # with more, the largest matrix fits one block
for height, width in ((1, 896), (1152, 896), (896, 4864), (20_001, 896)):
    weight, bias = (0.02 * torch.randn(height, width)).bfloat16(), torch.randn(height).bfloat16()
    for shape in ((3, width), (4, width), (17, width), (2, 5, width), (0, width)):
        rows = torch.randn(*shape).bfloat16()
        for added in (None, bias):
            ours = multiply(rows, weight, added)
            assert (ours.dtype, ours.shape) == (torch.bfloat16, (*shape[:-1], height))
            exact = plain(rows.double(), weight.double(), None if added is None else added.double())
            torch.testing.assert_close(ours.double(), exact, atol=0.01, rtol=0.01)
rows, weight = torch.randn(8, 896).bfloat16(), torch.randn(896, 896).bfloat16()
found = multiply(rows, weight)
torch.set_default_dtype(torch.bfloat16)  # as SGLang does while it loads a model
assert torch.equal(multiply(input=rows, weight=weight), found)
torch.set_default_dtype(torch.float32)
multiply(rows, weight.requires_grad_()).sum().backward()
assert weight.grad is not None
assert multiply(rows, weight[0]).shape == (8,)
single = torch.randn(8, 896)
assert multiply(single, torch.randn(7, 896)).dtype is torch.float32
