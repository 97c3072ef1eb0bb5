"""The cost of a run: its parameters, multiply-adds, memory and step time, counted or measured."""
