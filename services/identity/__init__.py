"""identity owns who a person is, their digital certificate, and everything by which somebody proves who they are."""
