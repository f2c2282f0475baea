"""What commits did that the training atlas found, read by eye in Keras' history."""

READINGS: dict[str, str] = {
    "4e89ad4c14": "`Dense` hands its constraints to its weights, and names of constraints "
    "become objects; before, `kernel_constraint` did nothing.",
    "c3d269b308": "adds `gradient_accumulation_steps`, and moving averages of weights on every "
    "backend and not in TensorFlow's optimizer alone.",
    "f8677c5190": "`MultiHeadAttention` made a dropout layer, and with it drew a seed, whatever "
    "its rate; now only where it drops: the weights built behind it draw others. "
    "2588a15440 makes it always again, without a seed for a rate of 0.",
    "2588a15440": "`MultiHeadAttention` and `GroupQueryAttention` always make their dropout "
    "layer, and `Dropout` a generator only for a rate above 0: seeds are drawn in "
    "another order, so initial weights are others.",
    "63dc12d515": "LSTM multiplies by dropout masks into a new tensor, on torch not in place.",
    "b026ff7005": "torch: `fit` reads arrays through a `DataLoader`, whose sampler shuffles by "
    "torch's generator and draws from it: another order of samples, and other "
    "seeds for layers without one.",
    "adacf2c495": "torch: mean and variance are no longer cut off (`detach`) in batch "
    "normalisation and in the variance of `moments`. Before, every normalisation "
    "had wrong gradients by its inputs.",
    "f9e6f0b055": "GRU and SimpleRNN multiply by dropout masks into a new tensor. On torch they "
    "did so in place: what the masks hit was masked for later use as well.",
    "a9f67cf7e1": "the loss that is told is a mean over samples, each batch weighted with its "
    "size; before it was a mean over batches. Training itself is the same.",
    "471edf24d9": "`trainable=False` given to a constructor holds for the weights; before, such "
    "a layer was trained.",
    "c24b98a352": "`recurrent_dropout` of SimpleRNN, LSTM and GRU drops at its own rate, and no "
    "longer at that of `dropout`.",
    "ff2557efca": "single weights may be left out of autocasting, and those of batch "
    "normalisation are: moving averages in mixed precision are kept in float32.",
    "603db8003c": "`Add` and the other merging layers hand masks on: before, the mask of an "
    "`Embedding` ended at the first residual branch, and padding counted in the "
    "loss.",
    "a4e85547b2": "`Accuracy` and `BinaryAccuracy` no longer take a mean over the last axis "
    "before sample weights are multiplied; weights are broadcast before they are "
    "counted.",
    "0ed820f564": "with `gradient_accumulation_steps`, bias corrections count updates instead "
    "of batches, and clipping and weight decay are applied to what was "
    "accumulated, once an update, and not to every batch. SGD, RMSprop and others "
    "without a count of steps moved nothing.",
    "f6a81cc2f5": "the losses of several outputs are told one by one again; no number is another.",
    "272af9c26b": "the state of a generator of seeds has the dtype that a backend has for it, "
    "int32 on torch: behind `set_random_seed` the first draw is as before, the "
    "second another.",
    "473a8ec02c": "`ConvLSTM` applies `dropout` and `recurrent_dropout`; before they did nothing.",
    "996cd6296b": "torch: `same` padding of average pooling.",
    "85e3681877": "LayerNormalization and BatchNormalization compute in float32 under mixed "
    "precision where they did not before.",
    "3ad85bdba4": "L2 normalisation is `x · rsqrt(Σx²)` and no longer `x / sqrt(Σx²)`: what "
    "CosineSimilarity, OrthogonalRegularizer and SpectralNormalization divide by.",
    "67b26f5a57": "RandomContrast draws a factor for each image; before, one for the batch.",
    "20c67d6bc2": "RandomFlip draws for each image by another call of the generator.",
    "6b662d100c": "behind the last batch of an epoch, `fit` asks for one iterator more: another "
    "draw from the generators, so that later epochs are shuffled otherwise and "
    "layers without a seed draw others. What moved with a generator of batches "
    "came elsewhere.",
    "fcb3c276e0": "a generator given to `fit` with `steps_per_epoch` is trained on from its "
    "first batch, which was read for its shapes and lost before.",
    "5bf4ac7a66": "`MultiHeadAttention` without dropout and scores goes through "
    "`ops.dot_product_attention`: torch's fused attention, whose softmax is "
    "rounded elsewhere.",
    "270029bf82": "losses of several outputs are told without their `loss_weights`.",
    "a62e0ef0c8": "LSTM draws a recurrent dropout mask for each gate.",
    "72ca0a0c05": "GRU draws a recurrent dropout mask for each gate; one for all did not converge.",
    "3dd958bcd6": "image augmentation returns its input outside of training; RandomCrop no "
    "longer crops the centre there.",
    "9294db1974": "IoU metrics keep their confusion matrix in whole numbers: fractional sample "
    'weights are cut to 0, with a warning; `dtype="float32"` gives the old '
    "numbers.",
    "1bb85cf02a": "a mask also holds for metrics without sample weights: padding is no longer "
    "counted in `accuracy`.",
    "d130816c4a": "Muon scales its update by 0.2 · √(larger side) instead of √(rows / columns), "
    "its AdamW step uses the whole rate and not a tenth, weights of three axes "
    "are left to AdamW, and the defaults of `ns_steps` and `weight_decay` are "
    "others.",
    "b9be2128fd": "an activity regularizer is divided by the batch size.",
    "116914a330": "LSTM on torch is computed by torch's own function, and no longer step by step.",
    "534a1e7314": "GlorotUniform and its kin count fans by input and output axes in EinsumDense "
    "and attention: initial weights are larger by a factor.",
    "9125289c5f": "torch: transposed convolutions with `same` padding cut at the side where jax "
    "and TensorFlow cut: outputs as well as gradients move by a pixel.",
    "bfe3412265": "`train_on_batch` and `test_on_batch` reset metrics first and return the loss "
    "of the one batch, no longer the mean since the last epoch.",
    "d36087ce99": "masks are applied by `where` and no longer by a product. With "
    "`ignore_class`, sparse cross-entropy of probabilities had gradients of NaN "
    "for what it ignores (0 · ∞, seen on torch); they are 0 now.",
}
"""Short hash → what it did."""

MISLEADING = (
    "`meaning` of an odd last batch, of `evaluate` and of `validation_…` in "
    "3.2.0, and of `train_on_batch` in 3.2.0 and 3.15.0, is one of what is told: "
    "losses and metrics. Weights and slots did not move, but for those of batch "
    "normalisation in mixed precision (ff2557efca).",
    "`meaning` of `fit: shuffle` (3.0.3, 3.7.0) is another order of samples, not "
    "another mathematics.",
    "`structure` of `fit: shared and frozen layers` (3.2.0) says that slots are "
    "gone, and hides that a layer made with `trainable=False` was trained before.",
    "`structure` of IoU metrics (3.8.0) says int32, and hides that fractional "
    "sample weights count for nothing since.",
    "`meaning` of transposed convolutions and of average pooling is in their "
    "outputs already; their backward pass only follows.",
    "`precision` of `fit` in low precision with a k of a few is carried on by "
    "Adam, which makes much of gradients next to nothing: what changed may be one "
    "rounding.",
    "The error against the twin says little where a model is far from it: × 1e+03 "
    "in 3.0.1 is a quotient of two sums of roundings.",
)
"""Where the cause, or the kind, does not say what matters."""
