"""How the product is put on machines: image, gateway, topics, monitoring, and the local stack."""
