#include "agent/backoff.h"

#include "base/util.h"

int64_t
jitter_ms(int64_t ms, int percent)
{
	int64_t spread = ms * percent / 100;
	uint32_t r;

	if (spread == 0)
		return ms;
	random_bytes(&r, sizeof(r));
	return ms - spread + (int64_t)(r % (uint64_t)(2 * spread + 1));
}

int64_t
backoff_ms(int failures, int64_t max_ms)
{
	int64_t ms = 1000;

	while (--failures > 0 && ms < max_ms)
		ms *= 2;
	return jitter_ms(ms < max_ms ? ms : max_ms, 25);
}
