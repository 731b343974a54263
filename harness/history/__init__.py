"""What happened between runs: how a result counts, and what moved. Pure; knows no renderer and starts nothing."""
