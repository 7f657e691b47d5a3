#include "meter.h"

#include "tool.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

static uint64_t read_clock_ns(clockid_t clock)
{
	struct timespec now;

	if (clock_gettime(clock, &now) < 0)
		die("a clock cannot be read");
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

uint64_t meter_now_ns(void)
{
	return read_clock_ns(CLOCK_MONOTONIC);
}

/* In ticks of 1/100 s: coarse, but it only has to show whether a run was disturbed. */
static uint64_t machine_ticks(void)
{
	uint64_t user = 0, nice = 0, system = 0, idle = 0, iowait = 0, irq = 0, softirq = 0,
		 steal = 0;
	FILE *file = fopen("/proc/stat", "re");

	if (!file)
		return 0;
	if (fscanf(file,
	           "cpu %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64
	           " %" SCNu64 " %" SCNu64,
	           &user, &nice, &system, &idle, &iowait, &irq, &softirq, &steal) != 8)
		user = nice = system = irq = softirq = steal = 0;
	fclose(file);
	return user + nice + system + irq + softirq + steal;
}

struct meter_cpu meter_read_cpu(const pid_t *pids, unsigned count)
{
	struct meter_cpu cpu = {
		.machine_ticks = machine_ticks(),
		.own_ns = read_clock_ns(CLOCK_PROCESS_CPUTIME_ID),
		.at_ns = meter_now_ns(),
	};

	for (unsigned i = 0; i < count; i++) {
		clockid_t clock;

		if (clock_getcpuclockid(pids[i], &clock) != 0)
			give_up("process %d is gone", (int)pids[i]);
		cpu.proxy_ns += read_clock_ns(clock);
	}
	return cpu;
}

double meter_foreign(const struct meter_cpu *begin, const struct meter_cpu *end)
{
	double hz = (double)sysconf(_SC_CLK_TCK);
	double busy = (double)(end->machine_ticks - begin->machine_ticks) / hz;
	double ours = (double)(end->own_ns - begin->own_ns + end->proxy_ns - begin->proxy_ns) / 1e9;
	double seconds = (double)(end->at_ns - begin->at_ns) / 1e9;

	return busy > ours && seconds > 0 ? (busy - ours) / seconds : 0;
}

void meter_note(struct meter_latency *latency, uint64_t ns)
{
	unsigned power = 0;
	unsigned bucket;

	/* Below METER_STEPS each value has a bucket; above, each power of two has METER_STEPS of them. */
	while ((ns >> power) >= 2 * METER_STEPS)
		power++;
	bucket = power * METER_STEPS + (unsigned)(ns >> power);
	if (bucket >= METER_POWERS * METER_STEPS)
		bucket = METER_POWERS * METER_STEPS - 1;
	latency->buckets[bucket]++;
	latency->count++;
}

static double bucket_us(unsigned bucket)
{
	unsigned power = bucket < 2 * METER_STEPS ? 0 : bucket / METER_STEPS - 1;
	uint64_t low = (uint64_t)(bucket - power * METER_STEPS) << power;

	return ((double)low + (double)((uint64_t)1 << power) / 2) / 1000;
}

double meter_quantile_us(const struct meter_latency *latency, double share)
{
	uint64_t rank = (uint64_t)((double)latency->count * share);
	uint64_t seen = 0;

	for (unsigned i = 0; i < METER_POWERS * METER_STEPS && latency->count; i++) {
		seen += latency->buckets[i];
		if (seen > rank)
			return bucket_us(i);
	}
	return 0;
}
