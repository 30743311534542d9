"""Word matrices in two factors, rows = coordinates @ primitive, both of which train (OFA, Liu et al. 2024).

A model keeps its own modules: their weight becomes the coordinates (vocab, rank), beside it stands the parameter `primitive` (rank, dim),
and a hook multiplies what goes in or comes out. So scaled embeddings, padding rows, ties and biases are what they were.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from lingraft.model.parts import word_matrices


def primitive_of(matrix: torch.Tensor, rank: int) -> torch.Tensor:
    """(rank, dim) V^T of E = U S V^T, largest singular values first, by the eigenvectors of the small product.

    The paper has coordinates U and primitive S V^T; here S goes with the coordinates, E V = U S. These have the lengths and angles of the
    old rows, so that they are mixed and drawn as rows are, and a learning rate that suits rows suits them.
    """
    wide = matrix.float()
    return torch.linalg.eigh(wide.T @ wide).eigenvectors[:, -rank:].flip(1).T.contiguous().to(matrix.dtype)


@torch.no_grad()
def factorise(model: Any, primitives: Mapping[str, torch.Tensor]) -> None:
    """Split word matrices in place: name of the matrix -> its primitive (rank, dim). A tied output matrix shares both factors."""
    if not primitives:  # as of a task model, which has no output matrix
        return
    matrices = word_matrices(model)
    factors = {id(matrices[name]): (nn.Parameter(matrices[name] @ p.T), nn.Parameter(p.clone())) for name, p in primitives.items()}
    entrance, end = model.get_input_embeddings(), model.get_output_embeddings()
    for module, register in ((entrance, entrance.register_forward_hook), (end, end.register_forward_pre_hook)):
        if id(module.weight) in factors:
            module.weight, module.primitive = factors[id(module.weight)]
            module.multiplication = register(_rows if module is entrance else _coordinates)


@torch.no_grad()
def multiply_out(model: Any) -> None:
    """Put the products of the factors back in place, for a folder that stock transformers loads."""
    products: dict[int, nn.Parameter] = {}
    for module in (model.get_input_embeddings(), model.get_output_embeddings()):
        if hasattr(module, "primitive"):
            product = products.setdefault(id(module.weight), nn.Parameter(module.weight @ module.primitive))
            module.multiplication.remove()
            del module.multiplication, module.primitive
            module.weight = product


def _rows(module: Any, arguments: Any, coordinates: torch.Tensor) -> torch.Tensor:
    """(…, dim) from what an embedding gave; in its type, which in mixed precision a product would lower for all layers after it."""
    return (coordinates @ module.primitive).to(coordinates.dtype)


def _coordinates(module: Any, arguments: tuple[torch.Tensor]) -> tuple[torch.Tensor]:
    """What an output matrix is multiplied with, (…, rank): h P^T, so that h P^T F^T = h (F P)^T."""
    return (arguments[0] @ module.primitive.T,)
