"""What a network is: layers, their graph, and the name of every axis of every tensor."""
