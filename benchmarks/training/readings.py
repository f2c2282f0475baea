"""What commits did that the training atlas found, read by eye in Keras' history."""

READINGS: dict[str, str] = {
    "4e89ad4c14": "`Dense` hands its constraints to its weights, and names of constraints "
    "become objects; before, `kernel_constraint` did nothing.",
    "c3d269b308": "adds `gradient_accumulation_steps`, and moving averages of weights on every "
    "backend and not in TensorFlow's optimizer alone.",
    "adacf2c495": "torch: mean and variance are no longer cut off (`detach`) in batch "
    "normalisation and in the variance of `moments`. Before, every normalisation "
    "had wrong gradients by its inputs.",
    "b026ff7005": "torch: `fit` reads arrays through a `DataLoader`, whose sampler shuffles by "
    "torch's generator and draws from it: another order of samples, and other seeds for "
    "layers without one.",
    "2588a15440": "`MultiHeadAttention` always makes its dropout layer, and `Dropout` a "
    "generator only for a rate above 0: seeds are drawn in another order, so "
    "initial weights are others.",
    "a9f67cf7e1": "the loss that is told is a mean over samples, each batch weighted with its "
    "size; before it was a mean over batches. Training itself is the same.",
    "471edf24d9": "`trainable=False` given to a constructor holds for the weights; before, such "
    "a layer was trained.",
    "c24b98a352": "`recurrent_dropout` of SimpleRNN, LSTM and GRU drops at its own rate, and no "
    "longer at that of `dropout`.",
    "ff2557efca": "single weights may be left out of autocasting, and those of batch "
    "normalisation are: moving averages in mixed precision are kept in float32.",
    "603db8003c": "`Add` and the other merging layers hand masks on: before, the mask of an "
    "`Embedding` ended at the first residual branch, and padding counted in the loss.",
    "a4e85547b2": "`Accuracy` and `BinaryAccuracy` no longer take a mean over the last axis "
    "before sample weights are multiplied; weights are broadcast before they are "
    "counted.",
    "0ed820f564": "with `gradient_accumulation_steps`, bias corrections count updates instead "
    "of batches, and clipping and weight decay are applied to what was "
    "accumulated, once an update, and not to every batch. SGD, RMSprop and others "
    "without a count of steps moved nothing.",
    "f6a81cc2f5": "the losses of several outputs are told one by one again; no number is another.",
    "473a8ec02c": "`ConvLSTM` applies `dropout` and `recurrent_dropout`; before they did nothing.",
    "996cd6296b": "torch: `same` padding of average pooling.",
    "85e3681877": "LayerNormalization and BatchNormalization compute in float32 under mixed "
    "precision where they did not before.",
    "6b662d100c": "behind the last batch of an epoch, `fit` asks for one iterator more: another "
    "draw from the generators, so that later epochs are shuffled otherwise and layers without "
    "a seed draw others. What moved with a generator of batches came elsewhere.",
    "270029bf82": "losses of several outputs are told without their `loss_weights`.",
    "a62e0ef0c8": "LSTM draws a recurrent dropout mask for each gate.",
    "72ca0a0c05": "GRU draws a recurrent dropout mask for each gate; one for all did not converge.",
    "9294db1974": "IoU metrics keep their confusion matrix in whole numbers: fractional sample "
    'weights are cut to 0, with a warning; `dtype="float32"` gives the old '
    "numbers.",
    "1bb85cf02a": "a mask also holds for metrics without sample weights: padding is no longer "
    "counted in `accuracy`.",
    "8074733a51": "the weight of masked losses is divided by the count of what is valid, "
    "without an epsilon of 1e-7 on top of it: of the size of a rounding, and the "
    "same for every element.",
    "b9be2128fd": "an activity regularizer is divided by the batch size.",
    "534a1e7314": "GlorotUniform and its kin count fans by input and output axes in EinsumDense "
    "and attention: initial weights are larger by a factor.",
    "9125289c5f": "torch: transposed convolutions with `same` padding cut at the side where jax "
    "and TensorFlow cut: outputs as well as gradients move by a pixel.",
    "bfe3412265": "`train_on_batch` and `test_on_batch` reset metrics first and return the loss "
    "of the one batch, no longer the mean since the last epoch.",
    "cecd743954": "`ignore_class` and a singleton axis follow `axis` in sparse cross-entropy.",
    "d36087ce99": "masks are applied by `where` and no longer by a product. With `ignore_class`, "
    "sparse cross-entropy of probabilities had gradients of NaN for what it ignores "
    "(0 · ∞, seen on torch); they are 0 now.",
}
"""Short hash → what it did."""
