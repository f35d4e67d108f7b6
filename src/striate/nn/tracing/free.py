"""Steps that multiply and add nothing: what moves numbers, compares, sorts, pools, normalises, looks up, resizes."""

from __future__ import annotations

import torch

from striate.nn.tracing.scribe import Call
from striate.nn.tracing.views import VIEWS

TAGS = {
    getattr(torch.Tag, name) for name in ("pointwise", "reduction") if hasattr(torch.Tag, name)
}  # torch's own word for it
# Besides those that torch tags. What stands neither here, nor there, nor in `products`, is "?".
FREE = frozenset(
    """
    adaptive_avg_pool1d _adaptive_avg_pool2d adaptive_avg_pool2d adaptive_avg_pool3d adaptive_max_pool1d
    adaptive_max_pool2d adaptive_max_pool3d addr affine_grid_generator all alpha_dropout aminmax any arange argsort
    argwhere as_strided as_strided_scatter _assert_async _assert_scalar _assert_tensor_metadata avg_pool1d
    avg_pool2d avg_pool3d batch_norm bernoulli binary_cross_entropy binary_cross_entropy_with_logits bincount
    block_diag broadcast_tensors bucketize cat celu channel_shuffle chunk clone col2im column_stack complex concat
    concatenate constant_pad_nd copy cosine_embedding_loss cosine_similarity cross cross_entropy_loss cummax cummin
    cumprod cumsum diag diag_embed diagonal diagonal_scatter diff dropout dstack embedding _embedding_bag
    embedding_bag empty empty_like empty_strided expand expand_as eye feature_alpha_dropout feature_dropout fill
    flatten flip fliplr flipud floor_divide fractional_max_pool2d fractional_max_pool3d full full_like
    _fused_rms_norm gather ger glu grid_sampler grid_sampler_2d grid_sampler_3d group_norm hardshrink hardswish
    hstack huber_loss im2col imag index index_add index_copy index_fill index_put index_reduce index_select
    instance_norm isin item kl_div kthvalue l1_loss layer_norm lift_fresh_copy linspace log_sigmoid log_softmax
    _log_softmax logcumsumexp logspace logsumexp masked_fill masked_scatter masked_select max_pool1d
    max_pool1d_with_indices max_pool2d max_pool2d_with_indices max_pool3d max_pool3d_with_indices max_unpool2d
    max_unpool3d median meshgrid mode movedim mse_loss msort multinomial nanmean nanmedian nanquantile narrow
    native_batch_norm native_channel_shuffle native_dropout native_group_norm native_layer_norm new_empty
    new_empty_strided new_full new_ones new_zeros nll_loss nll_loss_nd nonzero nonzero_static norm norm_except_dim
    normal one_hot ones ones_like outer pad pairwise_distance permute pixel_shuffle pixel_unshuffle polar prelu
    quantile rand rand_like randint randint_like randn randn_like randperm ravel real reflection_pad1d
    reflection_pad2d reflection_pad3d repeat repeat_interleave replication_pad1d replication_pad2d replication_pad3d
    reshape resize rms_norm roll rot90 row_stack rrelu scalar_tensor scatter scatter_add scatter_reduce searchsorted
    select select_scatter selu slice slice_inverse slice_scatter smooth_l1_loss softmax _softmax softmin softshrink
    sort split split_with_sizes squeeze stack swapaxes swapdims sym_numel sym_size sym_stride take take_along_dim
    tensor_split tile to topk trace transpose tril tril_indices triu triu_indices type_as unbind unflatten unfold
    uniform unique_consecutive unique_dim unsqueeze upsample_bicubic2d _upsample_bicubic2d_aa upsample_bilinear2d
    _upsample_bilinear2d_aa upsample_linear1d upsample_nearest1d upsample_nearest2d upsample_nearest3d
    _upsample_nearest_exact1d _upsample_nearest_exact2d _upsample_nearest_exact3d upsample_trilinear3d vander
    var_mean view view_as view_as_complex view_as_real vstack _weight_norm _weight_norm_interface where zero zeros
    zeros_like
    """.split()  # noqa: SIM905
)


def free(call: Call) -> bool:
    return call.said.startswith("aten.") and (call.op in FREE or call.op in VIEWS or bool(TAGS & set(call.tags)))
