"""The listener: from the socket to the spool, and nothing else.

The way of an instance: `listener_server` admits a connection, whose socket (`upper_layer`) reads
PDUs within the limits; pynetdicom negotiates the association; a store service reads the C-STORE
request, and `receiver` keeps the instance and gives the status of the answer.

- `limits`: what one connection may send: types and lengths of PDUs, sizes of messages, memory of
  all.
- `listener`: the storage SCP: a server on the network that hands received instances to a
  `Receiver`.
- `listener_server`: the listener's server: admits connections by address, number and certificate.
- `pdu_reader`: reads the PDUs of one association in place of pynetdicom, where an archive sends a
  series.
- `pynetdicom_inside`: all that the listener uses of pynetdicom's inside, which any release of it
  may change.
- `received_header`: the few elements of a received data set that decide where it is kept, without
  a full parse.
- `receiver`: what is done with received instances: read the header, write, rename, answer;
  nothing else.
- `store_messages`: C-STORE messages as bytes: the order of their fragments, the request's command,
  the response.
- `store_service`: the direct store service: C-STORE requests, answered where their last fragment is
  read.
- `upper_layer`: the listener's sockets: whole PDUs, each read within its time and its limits.
"""
