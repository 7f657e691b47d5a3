/*
 * x500: who an X.509 certificate says its holder is: the subject as text for logs, and whether a
 * name or an address is among its alternative names.
 *
 * Walks just as much DER as it takes to find them; judges nothing else of the certificate. Must
 * never read beyond the span it is given: the bytes are a peer's. Pure, allocates nothing.
 */
#ifndef PROTO_X500_H
#define PROTO_X500_H

#include "base/span.h"
#include "base/util.h"

/* The subject of a certificate in DER (RFC 5280 4.1), the contents of its SEQUENCE; false: not to
 * be found. */
MUST_CHECK bool x500_subject(struct span certificate, struct span *name);

/* A name as RFC 2253 writes it, the last component first: "CN=client,O=Example\, Inc". Plain ASCII:
 * all other bytes are escaped as \XX. Cut to *size* with its NUL; "" = empty or broken. */
void x500_format(struct span name, char *text, size_t size);

enum x500_kind { X500_DNS = 0x82, X500_ADDRESS = 0x87 }; /* RFC 5280 4.2.1.6, as tagged there */

/* True: *value* is word for word a subjectAltName of that *kind* of a certificate in DER. DNS names
 * are compared without case, addresses are 4 or 16 bytes. */
MUST_CHECK bool x500_has(struct span certificate, enum x500_kind kind, struct span value);

#endif
