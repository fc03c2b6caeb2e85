"""kubectl maas: what users do at their own machine, with their own rights."""
