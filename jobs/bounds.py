"""Upper bounds for every list, text and number of a request, a spec file or a spec.

There are two kinds: a bound on one field, and a bound on a product of fields (cells of a grid, tokens of a calibration
set). A product is computed from the lengths of the lists, before anything is expanded.
"""

# A whole document
MAX_BODY_BYTES = 8 * 1024 * 1024
MAX_DEPTH = 32
"""Nesting depth of lists and objects."""
MAX_VALUES = 100_000
"""Numbers, texts, lists and objects in one document, counted together."""
MAX_INTEGER = 2**63 - 1
"""The largest value of a signed 64-bit database column; no field needs a larger one."""

# Names
MAX_NAME = 200
"""Characters of a name: a task, a method, a prompt, a study."""
MAX_REFERENCE = 1000
"""Characters of a model reference or of a file's path."""
MAX_LABEL = 1100
"""Characters of a calibration set's label, which holds the path of its file and the mode."""
MAX_TASKS = 100
MAX_LABEL_CHARACTERS = 200
"""Characters of the label (right answer) of a text that the request supplies."""

# Texts
MAX_TEXTS = 2000
DEFAULT_TEXTS = 40
"""Rows of a task as texts of an attribution; 10 as in the paper are few for each half in cross-fitting."""
MAX_ROWS_READ = 1000
"""Rows of a task that one attribution may use as texts."""
MAX_TEXT_CHARACTERS = 200_000
MAX_ALL_CHARACTERS = 1_000_000
"""Characters of all texts that one request supplies, together."""
MAX_READ_CHARACTERS = 10_000_000
"""Characters of supplied texts x models of the attribution, because every token has an activation in every neuron of
every model."""
MAX_WORDS = 500
"""Influential words of one text."""
MAX_WORD_CHARACTERS = 200
MAX_MATCHED_CHARACTERS = 50_000_000
"""Sum over supplied texts of (influential words x characters searched for them)."""
MAX_LAYERS = 1000
MAX_PERMUTATIONS = 100_000
MAX_PERMUTED_TEXTS = 20_000_000
"""Permutations x texts."""
DEFAULT_PLACEBO = 200
MIN_PLACEBO = 20
"""Draws of placebo words; with fewer than 19 no p-value reaches 0.05."""
MAX_PLACEBO = 2_000
MAX_PLACEBO_TEXTS = 400_000
"""Draws of placebo words x texts."""
MAX_VARIANTS = 256
"""Pruned models that one attribution compares with a dense one."""

# Evaluation
MAX_ROWS = 10_000_000
"""Rows of a task; also the highest row index."""
MAX_PERPLEXITY_TEXTS = 100
MAX_WINDOWS = 1_000_000
MAX_SEQLEN = 1_000_000
MAX_DRAWS = 1000
MAX_CAUSAL_NEURONS = 100_000
MAX_CAUSAL_PASSES = 10_000_000
"""Rows x draws of a causal stage."""
MAX_DRAWN_NEURONS = 10_000_000
"""Neurons x draws of a causal stage."""

# Corpora
MIN_CORPUS_TOKENS = 1000
MAX_CORPUS_TOKENS = 10_000_000
"""Tokens x models that one corpus reads. 5 bytes for each token are in memory."""
DEFAULT_CORPUS_TOKENS = 100_000
MAX_CORPUS_MODELS = 100
MAX_CORPUS_EXAMPLES = 50
"""Examples kept for each neuron and sign; 16 bytes each, for every neuron of every model."""

# Explanations
MIN_EXPLAIN_ROWS = 4
"""Two rows for each half."""
MAX_EXPLAIN_ROWS = 20_000
"""The activations of all rows of both models are on disk during the job."""
DEFAULT_WINDOW = 512
"""Tokens of a window of text; its graph is in memory at once."""
MAX_COUNTS = 20
"""Numbers of neurons whose effect is measured; each takes a pass over the rows for every ranking and draw."""
MAX_STEPS = 1000
"""Steps of integrated gradients."""
MAX_EXPLAIN_DRAWS = 100

# Pruning
MAX_SAMPLES = 65_536
DEFAULT_SAMPLES = 128
MODEL_CONTEXT = 2048
"""The default length of a calibration window is the model's context length, at most this many tokens."""
MAX_CALIBRATION_TOKENS = 1 << 22
"""Windows x tokens of a calibration set (1,024 x 4,096). All of their hidden states are in memory at once: 64 GiB at a
width of 4,096 in single precision."""

# Studies
MAX_AXIS = 1000
"""Values on one axis of a grid."""
MAX_CELLS = 20_000
MAX_ATTRIBUTIONS = 100
MAX_CANDIDATES = 500_000
"""Attributions of a study x pruned models that each attribution may compare."""

# Error messages about an invalid document
MAX_ERRORS = 20
MAX_ECHO = 200
"""Characters of a value or a field path quoted in an error."""
MAX_ALLOWED = 100
"""Allowed values listed in an error."""
MAX_MESSAGE = 2000
MAX_NAMES_LISTED = 50
