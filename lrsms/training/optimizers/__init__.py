"""One file for each optimizer; its name is the value of ``train.optimizer``.

A file ``<name>.py`` has two functions, and it may have options of its own:

- ``groups(model, options)`` groups the parameters that are updated in the same way, with the cost of updates.
- ``build(groups, train, options)`` makes the ``torch.optim.Optimizer`` of these groups.
- ``OPTIONS`` maps each option to its default, its least and its greatest value. They must be literal numbers, since
  they are read without running the file. They are set as ``train.optimizer_options.<option>``.

A checkpoint holds whatever an optimizer keeps for a parameter in ``optimizer.state`` (``training/state.py``).
"""
