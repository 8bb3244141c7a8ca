"""Instances and reports between the machines of one node, over HTTPS with mutual TLS.

- `archive_stream`: files as a tar stream that ends with the digest of each of them.
- `client`: fetch the instances of an assessment from the machine that holds them, and hand its
  report in.
- `door`: connections of the exchange: by the names in their certificates, cut off if they are too
  slowly.
- `home_folder`: what a machine gives to an assessment elsewhere, and how it takes the report in.
- `impatient_http`: HTTP connections that are closed when their requests are too slow.
- `server`: the server of a machine's instances: what it answers, and how much at a time.
"""
