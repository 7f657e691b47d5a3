/*
 * kernel: the simulated kernel under the session layer: sockets, pipes, receive buffers, operations
 * in flight, time.
 *
 * The fakes of io/ and base/clock are thin layers over it. What completes next, how much, with
 * which error and how late is drawn from a seed; in obedient mode (the directed tests) everything
 * that can complete does, fully and at once. Bytes are not stored: what an actor sends is a stream
 * that can be computed at any offset, and what the proxy sends is compared with the bytes that must
 * come next. In kernel.c chance and fds, in kernel_socks.c sockets and pipes, in kernel_ops.c
 * operations and turns. It must never do what Linux would not, and it aborts on what Linux would
 * punish later: an fd closed under an operation, a buffer leased twice, memory changed under a
 * send.
 */
#ifndef TESTS_SIM_KERNEL_H
#define TESTS_SIM_KERNEL_H

#include "base/util.h"
#include "io/ring.h"
#include "proto/addr.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* What one actor sends: its own first bytes, then some of a table of random ones. */
struct stream {
	const uint8_t *head;
	uint32_t       head_len;
	uint32_t       base;
};

struct actor;

enum { WIRES_MAX = 64, WIRE_MAX = 1 << 20 };

/* Of a socket whose actor speaks TLS: both ends' bytes, stored, for they cannot be computed; and
 * what they mean, as the actor sees it. Its sock's stream is the plaintext. */
struct wire {
	uint8_t  in[WIRE_MAX], out[WIRE_MAX];
	uint32_t in_len; /* made by the actor; of it sock->in_sent are sent */
	uint32_t said;   /* of the stream; all of it is in *in* */
	uint32_t heard;  /* of what the other actor says */
	uint32_t end_at; /* in *in*, behind close_notify; 0 = it was not said */
	uint64_t end_ms;
	bool     is_shaken, has_heard_end;
	bool     is_garbled;  /* the actor sent what is no TLS */
	uint8_t  heard_alert; /* the fatal alert that came, 0 = none */
};

/* One connection's two ends: the proxy's, which has the fd, and an actor's. */
struct sock {
	int           fd;
	bool          is_open;     /* the proxy has not closed it */
	bool          is_upstream; /* the proxy dialled it */
	bool          is_connecting, was_connected;
	bool          is_unconnected; /* nobody has been dialled by it, or that failed at once */
	bool          is_closing;     /* its connection has decided to end */
	bool          is_unheard; /* the direction from it is over: what comes is no sign of life */
	bool          is_dead;    /* reset by the actor or its kernel, or refused */
	int           error;      /* sk_err: told once */
	struct actor *actor;
	struct addr   peer;
	int           server; /* upstream: which was dialled */

	struct wire *wire; /* NULL: it speaks plainly */

	/* From the actor. */
	struct stream stream;
	uint32_t      in_sent, in_read, recv_cap;
	bool          fin_in, fin_read, is_closed_by_actor;

	/* To the actor. */
	uint32_t out_accepted, out_delivered, out_read, send_cap, window;
	bool     fin_out, fin_delivered, rst_out, is_reset_read;
	bool     has_nospace; /* a write or a poll found it full: an edge is due when it is not */
	bool     is_kept_alive;
	bool     is_held_back; /* its last bytes wait for the FIN that was promised */
	bool     lost_bytes;   /* closed while the actor could not be given all that was accepted */

	/* What the proxy must send on it: *preface*, then what *source*'s actor sends from *skip*
	 * on. */
	uint8_t      preface[128];
	uint32_t     preface_len, skip;
	struct sock *source;
	uint8_t      header[128]; /* of a client: the preface of whomever it leads to */
	uint32_t     header_len, skip_in;
	uint8_t      alert[192]; /* or an ErrorResponse */
	uint32_t     alert_len;
	uint32_t     told; /* of *preface*: answers, which no flow wrote */
	uint64_t     begun_ms, closed_ms, fin_in_ms, fin_out_ms, rst_in_ms, moved_ms;
	uint64_t     refused_ms; /* since when its connection lingers */
	bool         is_reset_by_proxy;
	bool         is_finished_by_proxy; /* before it was closed */
};

enum op_kind { OP_RECV, OP_SEND, OP_POLL, OP_EDGES, OP_ACCEPT, OP_SPLICE, OP_CANCEL };

struct request {
	struct op      *op;
	enum op_kind    kind;
	int             fd, to_fd;
	unsigned        events;
	uint32_t        len;
	uint32_t        limit; /* a receive of many: bytes until its last; 0 = of one */
	const uint8_t  *data;
	uint64_t        sum; /* of the memory handed to a send */
	struct bufring *buffers;
	bool            wait;
	bool            opens_fast; /* a send that connects *to* */
	struct addr     to;
	bool            is_single; /* an accept of one connection */
	bool            is_submitted, is_woken;
	bool            has_landed; /* its last completion is posted */
};

enum {
	FD_FIRST = 100,
	FDS_MAX = 4096,
	REQUESTS_MAX = 512,
	SOCKS_MAX = 512,
	BUFFERS_MAX = 64,
	BUFFERS_AREA = 1 << 18,
	TABLE_SIZE = 1 << 20, /* random bytes behind every stream */
	PAYLOAD_MAX = 1 << 19,
};

/* What is in a pipe: some of one actor's stream. */
struct contents {
	int          read_fd, write_fd;
	bool         is_open;
	uint32_t     len, cap, offset;
	struct sock *from;
};

struct completion {
	struct request *request;
	int             res;
	unsigned        flags;
};

enum buffer_state { BUFFER_FREE, BUFFER_KERNEL, BUFFER_FILLED, BUFFER_LEASED };

struct kernel {
	uint64_t now_ms;
	uint64_t look_us, looks_us; /* a look at the fine clock takes so long; all did so far */
	uint64_t random;
	bool     is_obedient;
	bool     is_verbose;
	bool     is_idle; /* nothing will ever happen again */
	bool     heeds_no_cancel;
	bool     is_old; /* without what this program can do without */
	/* Directed tests: there is a cookie of every server, so that the SYN takes data; or no fast
	 * open is allowed. */
	bool     has_cookies, denies_fastopen;
	unsigned held_kinds; /* BIT(enum op_kind): completions of these are not handed out */
	unsigned fault_rate; /* 1 in so many; 0 = no faults */
	uint64_t moves;      /* anything that happened */

	/* What the simulation wants of it. *act*: lets actors do something (all that they can, when
	 * *all*); true if any did. *next_ms*: when an actor will next want to. *quiet*: called when
	 * nothing more can happen now. */
	bool (*act)(bool all);
	uint64_t (*next_ms)(void);
	void (*quiet)(void);
	/* The proxy dials: how it ends. 0 = under way (*sock given), or -errno at once. */
	int (*dial)(struct sock *sock, const struct addr *to);
	/* Its SYN is on its way: now it may be answered. NULL: actors do that by themselves. */
	void (*syn)(struct sock *sock);
	/* The client is being refused: a clean end promises nothing. */
	bool (*refuses)(const struct sock *client);
	/* A client to accept: its sock without fd, or NULL. */
	struct sock *(*backlog)(void);

	struct sock     socks[SOCKS_MAX];
	uint32_t        sock_count, wire_count;
	struct contents pipes[SOCKS_MAX];
	uint32_t        pipe_count;
	struct {
		struct sock     *sock;
		struct contents *pipe;
		bool             is_open, is_listener, is_doomed;
		uint16_t         ops;
	} fds[FDS_MAX];
	int             doomed[FDS_MAX]; /* a close is armed, not submitted */
	uint32_t        doomed_count;
	int             fd_count;
	int             open_fds;
	struct request  pool[REQUESTS_MAX];
	struct request *requests
		[REQUESTS_MAX]; /* in flight, from arming to their last completion being handed out */
	struct request   *spare[REQUESTS_MAX];
	uint32_t          request_count, spare_count;
	struct request   *queue[REQUESTS_MAX]; /* armed, not submitted */
	uint32_t          queue_len;
	struct completion completions[REQUESTS_MAX];
	uint32_t          completion_count;
	struct completion batch[REQUESTS_MAX];
	uint32_t          batch_len;
	uint8_t           buffer_state[BUFFERS_MAX];
	uint32_t          send_cap, recv_cap, window; /* of new sockets */
	uint64_t          turns;
	uint64_t          looks;   /* for a completion, without sleeping */
	uint64_t          gathers; /* waits that one completion did not end */
	unsigned spins; /* turns in a row that did not want to wait and had nothing to do */
};

extern struct kernel kernel;

/* Back to nothing; time goes on from a fixed point. */
void kernel_reset(uint64_t seed, bool is_obedient);

/* Chance: 0..n-1; in obedient mode the last. One in *n*: never in obedient mode. 1..n: all of it in
 * obedient mode. */
uint32_t kernel_draw(uint32_t n);
bool     kernel_chance(uint32_t n);
uint32_t kernel_some(uint32_t n);
/* A fault is due. */
bool kernel_fault(void);

_Noreturn void fail(const char *format, ...) PRINTF(1, 2);
void           trace(const char *format, ...) PRINTF(1, 2);

/* Sockets. */
struct sock *kernel_sock_new(void);
int          kernel_fd_new(struct sock *sock, struct contents *pipe);
struct sock *kernel_sock(int fd); /* an open one; anything else fails the run */
void         kernel_fd_close(int fd);
void         kernel_fd_doom(int fd); /* a socket, to be closed at the next submission */
void         kernel_close_doomed(void);
int          kernel_fd_index(int fd); /* in kernel.fds; it must be open */
int          kernel_listener_new(void);
uint32_t     sock_unread(const struct sock *sock);
uint32_t     sock_queued(const struct sock *sock); /* accepted, not delivered */
bool         sock_takes_bytes(const struct sock *sock);
bool         sock_is_ready(const struct sock *sock); /* as poll has it: a third of it is free */
unsigned     sock_poll_mask(struct sock *sock);
int          sock_error(struct sock *sock);
/* The proxy writes *len* bytes, or from a pipe when *data* is NULL: count or -errno. */
int  sock_write(struct sock *sock, const uint8_t *data, const struct contents *pipe, uint32_t len);
void sock_syn(struct sock *sock);
void sock_shut(struct sock *sock, bool by_reset); /* the proxy closes it, now */
void sock_changed(struct sock *sock);             /* FIN or RST came: every poll looks */
void sock_noticed(struct sock *sock);             /* the proxy knows now that a byte has moved */
bool sock_deliver(struct sock *sock, uint32_t most);
void stream_bytes(const struct stream *stream, uint32_t offset, uint8_t *out, uint32_t len);
bool stream_has(const struct stream *stream, uint32_t offset, const uint8_t *data, uint32_t len);
/* Its next bytes from the actor, which were sent. */
void sock_read(struct sock *sock, uint8_t *out, uint32_t len);
/* connect(2): 0 = its SYN may be sent, by sock_syn; or -errno. */
int sock_begin(struct sock *sock, const struct addr *to);
/* MSG_FASTOPEN: how much the SYN took, or -errno. */
int sock_open_fast(struct sock *sock, const struct request *request);
/* From now on it speaks TLS. */
void sock_give_wire(struct sock *sock);
/* The proxy can have read at most so much of its stream. */
uint32_t sock_said(const struct sock *sock);
/* Its end was told, and the proxy has read that. */
bool sock_has_said_end(const struct sock *sock);

/* Behind the last byte: 0 = a clean end, or -errno; now the proxy knows of it. */
int sock_read_end(struct sock *sock);

/* What an actor does to its end. */
void     peer_send(struct sock *sock, uint32_t n); /* at most what fits */
void     peer_finish(struct sock *sock);
void     peer_reset(struct sock *sock);
void     peer_close(struct sock *sock); /* both ways; unread bytes make it a reset */
uint32_t peer_read(struct sock *sock, uint32_t n);
bool     peer_sees_eof(const struct sock *sock);
void     peer_accept(struct sock *sock);
void     peer_refuse(struct sock *sock, int error);

/* Operations. */
struct request *kernel_arm(struct op *op, enum op_kind kind, int fd);
void            kernel_use(int fd); /* one more operation in flight on it; it must be open */
void            kernel_expect_quiet(int fd); /* no operation is in flight on it */
uint64_t        kernel_sum(const uint8_t *data, uint32_t len);
int             kernel_wait(uint64_t timeout_ms);
bool            kernel_spin(void); /* as kernel_wait without any time: is something there? */
unsigned        kernel_reap(void);
/* Directed tests: the operation of that kind on *fd* lands with *res*, for good. False: there is
 * none. */
MUST_CHECK bool kernel_land(int fd, enum op_kind kind, int res);
bool            kernel_has_op(int fd, enum op_kind kind);
/* Bytes that it has moved and not told of. */
uint32_t kernel_unseen(const struct op *op);

/* Pipes. */
ssize_t          kernel_fill(struct contents *pipe, int fd, uint32_t most);
ssize_t          kernel_drain(struct contents *pipe, int fd, uint32_t len);
struct contents *kernel_pipe(int fd);

#endif
