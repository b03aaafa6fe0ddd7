// Package stream is a client's byte stream: the socket, the address that a PROXY
// header in front of it tells, TLS on it, and DEFLATE on top.
//
// A [Conn] keeps no buffer of its own while it is idle, except for what an
// uncompressing reader needs once COMPRESS was asked for.
package stream
