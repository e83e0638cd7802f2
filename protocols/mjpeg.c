#include "protocols/mjpeg.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Finding where pictures begin and end, and keeping the one that is on its way. */

enum {
	FIRST_BYTES = 64 << 10
};

static void mjpeg_drop(struct mjpeg *m, const char *why)
{
	m->events->on_dropped(m->arg, why);
	m->begun = 0;
}

/* Throws away what is done with: once for all that came together, however much is dropped. */
static void mjpeg_compact(struct mjpeg *m)
{
	memmove(m->data, m->data + m->from, m->n - m->from);
	m->n -= m->from;
	m->from = 0;
}

/* Everything before the next picture is thrown away. Returns whether there is one. */
static int mjpeg_find(struct mjpeg *m)
{
	m->from = jpeg_find(m->data, m->n, m->from);
	m->jpeg = (struct jpeg){ 0 };
	m->begun = m->n - m->from >= 3; /* less may still turn out to be something else */
	if (m->begun && m->events->on_begin)
		m->events->on_begin(m->arg);
	return m->begun;
}

/* Takes what is there of the picture. Returns whether to go on with what is behind it. */
static int mjpeg_take(struct mjpeg *m)
{
	const char *why = "";
	const uint8_t *p = m->data + m->from;
	size_t n = m->n - m->from;
	int result = jpeg_resume(&m->jpeg, p, n, &why);

	if (result == -EAGAIN)
		return 0;
	m->begun = 0;
	if (result == 0) {
		m->from += m->jpeg.bytes;
		m->events->on_picture(m->arg, &m->jpeg, p);
		return 1;
	}
	m->from += m->jpeg.at > 0 && m->jpeg.at <= n ? m->jpeg.at : 1;
	mjpeg_drop(m, why);
	return 1;
}

static int mjpeg_grow(struct mjpeg *m, size_t needed)
{
	size_t capacity = m->capacity ? m->capacity : FIRST_BYTES;
	uint8_t *data;

	while (capacity < needed)
		capacity *= 2;
	if (capacity == m->capacity)
		return 1;
	data = realloc(m->data, capacity);
	if (!data)
		return 0;
	m->data = data;
	m->capacity = capacity;
	return 1;
}

void mjpeg_push(struct mjpeg *m, const uint8_t *p, size_t n)
{
	while (n > 0) {
		size_t room = MJPEG_BYTES - m->n, part = n < room ? n : room;

		if (part == 0 || !mjpeg_grow(m, m->n + part)) {
			mjpeg_drop(m, "the picture is larger than 16 MiB");
			m->n = 0;
			continue;
		}
		memcpy(m->data + m->n, p, part);
		m->n += part;
		p += part;
		n -= part;
		while (m->from < m->n && (m->begun || mjpeg_find(m)) && mjpeg_take(m))
			;
		mjpeg_compact(m);
	}
}

void mjpeg_end(struct mjpeg *m)
{
	if (m->begun)
		mjpeg_drop(m, "the picture was cut short");
	m->n = 0;
}

void mjpeg_fini(struct mjpeg *m)
{
	free(m->data);
	m->data = NULL;
	m->n = m->capacity = 0;
	m->begun = 0;
}
