"""The live layer: provisional and final turns with stable speaker numbers, on top of settled windows."""
