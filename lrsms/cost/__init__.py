"""What a run costs: parameters, multiply-adds, memory and step time, counted or measured."""
