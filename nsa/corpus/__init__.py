"""What every neuron does on running text, whatever the task: its extreme examples, the distribution of its activations,
and the tokens that it writes."""
