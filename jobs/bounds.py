"""Bounds of what a request, a spec file or a spec may hold: one table, so that no list, text or number is without one.

Two kinds: a bound of one field, and a bound of a product of fields (cells of a grid, tokens of a calibration set). A
product is computed from the lengths of the lists, before anything is expanded.
"""

# A whole document
MAX_BODY_BYTES = 8 * 1024 * 1024
MAX_DEPTH = 32
"""Lists and objects inside each other."""
MAX_VALUES = 100_000
"""Numbers, texts, lists and objects of a document together."""
MAX_INTEGER = 2**63 - 1
"""What a database column and a C integer hold; no field asks for more."""

# Names
MAX_NAME = 200
"""Characters of a name: a task, a method, a prompt, a study."""
MAX_REFERENCE = 1000
"""Characters of a model reference or of a file's path."""
MAX_LABEL = 1100
"""Characters of a calibration set's label: the path of its file, and the mode."""
MAX_TASKS = 100
MAX_LABEL_CHARACTERS = 200
"""Characters of the label of a given text."""

# Texts
MAX_TEXTS = 2000
MAX_ROWS_READ = 1000
"""Rows of a task that one attribution reads."""
MAX_TEXT_CHARACTERS = 200_000
MAX_ALL_CHARACTERS = 1_000_000
"""Characters of all given texts together."""
MAX_READ_CHARACTERS = 10_000_000
"""Given characters x models that read them: each token has an activation in every neuron of every model."""
MAX_WORDS = 500
"""Influential words of one text."""
MAX_WORD_CHARACTERS = 200
MAX_MATCHED_CHARACTERS = 50_000_000
"""Words x characters of the texts that they are looked for in, over all given texts."""
MAX_LAYERS = 1000
MAX_PERMUTATIONS = 100_000
MAX_PERMUTED_TEXTS = 20_000_000
"""Permutations x texts."""
MAX_VARIANTS = 256
"""Pruned models that one attribution compares with a dense one."""

# Measuring
MAX_ROWS = 10_000_000
"""Rows of a task, and the highest index of one."""
MAX_PERPLEXITY_TEXTS = 100
MAX_WINDOWS = 1_000_000
MAX_SEQLEN = 1_000_000
MAX_DRAWS = 1000
MAX_CAUSAL_NEURONS = 100_000
MAX_CAUSAL_PASSES = 10_000_000
"""Rows x draws of a causal stage."""
MAX_DRAWN_NEURONS = 10_000_000
"""Neurons x draws of a causal stage."""

# Pruning
MAX_SAMPLES = 65_536
DEFAULT_SAMPLES = 128
MODEL_CONTEXT = 2048
"""Tokens of a calibration window whose length is not given: the model's context, at most this."""
MAX_CALIBRATION_TOKENS = 1 << 22
"""Windows x tokens of a calibration set (1,024 x 4,096): all of their hidden states wait in memory at once, which at a
width of 4,096 in single precision is 64 GiB."""

# Studies
MAX_AXIS = 1000
"""Values on one axis of a grid."""
MAX_CELLS = 20_000
MAX_ATTRIBUTIONS = 100
MAX_CANDIDATES = 500_000
"""Attributions of a study x ways to prune a model that each may compare."""

# What is said about a wrong document
MAX_ERRORS = 20
MAX_ECHO = 200
"""Characters of a value, or of a field's path, that is given back."""
MAX_ALLOWED = 100
"""Allowed values that are listed."""
MAX_MESSAGE = 2000
MAX_NAMES_LISTED = 50
