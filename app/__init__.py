"""The Fundusmith service: orders, their life, what is stored, and the HTTP interface to them."""

__version__ = "0.1.0"
