/*
 * meter: what a run of the load generator measures: time, CPU of ourselves and of the proxy, CPU that others
 * took meanwhile, latencies. It never allocates; reading it costs nothing that would show in a run.
 */
#ifndef BENCH_METER_H
#define BENCH_METER_H

#include <stdint.h>
#include <sys/types.h>

enum {
	METER_PIDS = 32,
	METER_STEPS = 64, /* per power of two: latencies are good to 1.6 % */
	METER_POWERS = 40,
};

struct meter_cpu {
	uint64_t at_ns, own_ns, proxy_ns;
	uint64_t machine_ticks; /* all CPUs, everything but idle */
};

struct meter_latency {
	uint64_t count;
	uint32_t buckets[METER_POWERS * METER_STEPS];
};

uint64_t meter_now_ns(void);

/* CPU time used so far; that of the proxy is the sum over *pids*, all threads and dead ones included. */
struct meter_cpu meter_read_cpu(const pid_t *pids, unsigned count);

/* CPU that neither the proxy nor we used between the two, as a share of one CPU. */
double meter_foreign(const struct meter_cpu *begin, const struct meter_cpu *end);

void meter_note(struct meter_latency *latency, uint64_t ns);

/* Microseconds; *share* is 0.5 for the median. 0 when nothing was noted. */
double meter_quantile_us(const struct meter_latency *latency, double share);

#endif
