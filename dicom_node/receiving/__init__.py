"""The listener: from the socket to the spool, and nothing else.

- `listener`: the storage SCP: a server on the network that hands what it gets to a `Receiver`.
- `listener_server`: the listener's server: admits connections by address, number and certificate.
- `received_header`: the few elements of a received data set that decide where it is kept, without
  a full parse.
- `receiver`: what is done with what a peer sends: look at the header, write, rename, answer;
  nothing else.
- `store_service`: C-STORE requests, answered where their last fragment is read.
- `upper_layer`: the listener's sockets: who may connect, how long a PDU may take, how large it
  may be.
"""
