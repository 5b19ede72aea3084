"""The Web API's methods: small functions from a call to an answer, and the registry of them."""
