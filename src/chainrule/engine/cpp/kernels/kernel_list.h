// The kernels by name: the one list from which tables are made.
#pragma once

#define CR_KERNELS(X)                                                                       \
    X(matmul) X(fused) X(fused64) X(softmax) X(log_softmax) X(softmax_cross_entropy)        \
    X(sgd_update) X(momentum_update) X(adam_update) X(random_uniform) X(take) X(embedding)  \
    X(put_into) X(scatter_add) X(copy) X(conv2d) X(conv2d_input)                           \
    X(conv2d_weight) X(max_pool2d_with_positions) X(avg_pool2d) X(avg_pool2d_input)         \
    X(normalize) X(all_finite) X(binary_cross_entropy_with_logits) X(truth) X(add_slice)    \
    X(require) X(lstm_sequence) X(gru_sequence) X(rnn_sequence) X(lstm_sequence_gradient)   \
    X(gru_sequence_gradient) X(rnn_sequence_gradient) X(cat) X(attention)                   \
    X(attention_gradient) X(join_slices) X(integers) X(integer_sum) X(position)             \
    X(variance) X(logsumexp) X(amsgrad_update) X(rmsprop_update) X(adagrad_update)          \
    X(linear_weight_sum) X(normalize_gradient) X(rescale)
