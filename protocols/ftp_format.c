/* Listings: as `ls -l` writes them, for people and old clients, and the facts of RFC 3659. */
#include "protocols/ftp_format.h"

#include <string.h>
#include <strings.h>
#include <time.h>

#include <event2/buffer.h>

enum {
	FTP_FACTS_BYTES = 1024 /* a path and what can be said of it */
};
#define HALF_YEAR_US (INT64_C(182) * 24 * 3600 * 1000000)

static const char *const fact_names[] = {
#define X(id, name) [id] = (name),
	FTP_FACTS(X)
#undef X
};

const char *ftp_fact_name(enum ftp_fact fact)
{
	return fact_names[fact];
}

unsigned ftp_facts_parse(const char *text)
{
	unsigned facts = 0;

	for (size_t n; *text; text += n) {
		n = strcspn(text, ";");
		for (unsigned i = 0; i < FTP_FACT_COUNT; i++) {
			if (strlen(fact_names[i]) == n && !strncasecmp(text, fact_names[i], n))
				facts |= 1U << i;
		}
		n += text[n] == ';';
	}
	return facts;
}

/* A line in the making: there are thousands of them, and printf() is slow. */
struct line {
	char p[FTP_FACTS_BYTES];
	size_t n;
};

static void line_add(struct line *line, const char *text)
{
	size_t n = strlen(text);

	if (n > sizeof(line->p) - line->n)
		n = sizeof(line->p) - line->n;
	memcpy(line->p + line->n, text, n);
	line->n += n;
}

static char *write_digits(char *ret, int value, int n)
{
	for (int i = n - 1; i >= 0; i--, value /= 10)
		ret[i] = (char)('0' + value % 10);
	return ret + n;
}

static void line_add_number(struct line *line, uint64_t value, unsigned base)
{
	char digits[24], *at = digits + sizeof(digits) - 1;

	*at = '\0';
	do
		*--at = "0123456789abcdef"[value % base];
	while ((value /= base));
	line_add(line, at);
}

char *ftp_format_time(char ret[FTP_TIME_BYTES], int64_t us)
{
	time_t seconds = us / 1000000;
	struct tm parts;
	char *at;

	gmtime_r(&seconds, &parts);
	at = write_digits(ret, parts.tm_year + 1900, 4);
	at = write_digits(at, parts.tm_mon + 1, 2);
	at = write_digits(at, parts.tm_mday, 2);
	at = write_digits(at, parts.tm_hour, 2);
	at = write_digits(at, parts.tm_min, 2);
	at = write_digits(at, parts.tm_sec, 2);
	*at = '\0';
	return ret;
}

/* The number and blanks before it, at least so many bytes. */
static void line_add_column(struct line *line, uint64_t value, size_t width)
{
	size_t digits = 1;

	for (uint64_t left = value; left >= 10; left /= 10)
		digits++;
	for (; digits < width; digits++)
		line_add(line, " ");
	line_add_number(line, value, 10);
}

/* Whatever the process' language is: strftime's %b would follow it. */
static void line_add_list_time(struct line *line, int64_t us, int64_t now_us)
{
	static const char *const months[] = { "Jan ", "Feb ", "Mar ", "Apr ", "May ", "Jun ",
		"Jul ", "Aug ", "Sep ", "Oct ", "Nov ", "Dec " };
	time_t seconds = us / 1000000;
	char clock[] = "00:00";
	struct tm parts;

	gmtime_r(&seconds, &parts);
	line_add(line, months[parts.tm_mon]);
	line_add_column(line, (uint64_t)parts.tm_mday, 2);
	line_add(line, " ");
	if (us > now_us || us <= now_us - HALF_YEAR_US) {
		line_add_column(line, (uint64_t)parts.tm_year + 1900, 5);
		return;
	}
	(void)write_digits(clock, parts.tm_hour, 2);
	(void)write_digits(clock + 3, parts.tm_min, 2);
	line_add(line, clock);
}

void ftp_format_list(struct evbuffer *out, const struct tree_entry *entry,
	const struct ftp_rights *rights, int64_t now_us)
{
	bool is_file = entry->kind == TREE_FILE;
	struct line line; /* not cleared */

	line.n = 0;
	line_add(&line, is_file ? (rights->change ? "-rw-r--r--" : "-r--r--r--")
				: (rights->add ? "drwxr-xr-x" : "dr-xr-xr-x"));
	line_add(&line, "   1 nvrd     nvrd     ");
	line_add_column(&line, entry->bytes, 12);
	line_add(&line, " ");
	line_add_list_time(&line, entry->modified_us, now_us);
	line_add(&line, " ");
	line_add(&line, entry->name);
	line_add(&line, "\r\n");
	(void)evbuffer_add(out, line.p, line.n);
}

/* RFC 3659 section 7.5.5. */
static const char *perm_of(const struct tree_entry *entry, const struct ftp_rights *rights)
{
	if (entry->kind == TREE_COLLECTION)
		return rights->change ? "cdeflmp" : rights->add ? "celmp" : "el";
	return rights->change ? "adfrw" : rights->delete ? "dr" : "r";
}

/* A name for the entry: nothing in the tree has two paths. FNV-1a. */
static uint64_t unique_of(const char *path)
{
	uint64_t key = UINT64_C(0xcbf29ce484222325);

	for (; *path; path++)
		key = (key ^ (unsigned char)*path) * UINT64_C(0x100000001b3);
	return key;
}

static void add_fact(struct line *line, enum ftp_fact fact, const struct tree_entry *entry,
	const struct ftp_rights *rights)
{
	bool is_file = entry->kind == TREE_FILE;
	char time[FTP_TIME_BYTES];

	switch (fact) {
	case FTP_FACT_TYPE:
		line_add(line, is_file ? "type=file;" : "type=dir;");
		return;
	case FTP_FACT_SIZE:
		if (!is_file)
			return;
		line_add(line, "size=");
		line_add_number(line, entry->bytes, 10);
		break;
	case FTP_FACT_MODIFY:
		if (!entry->modified_us)
			return;
		line_add(line, "modify=");
		line_add(line, ftp_format_time(time, entry->modified_us));
		break;
	case FTP_FACT_CREATE:
		if (!entry->created_us)
			return;
		line_add(line, "create=");
		line_add(line, ftp_format_time(time, entry->created_us));
		break;
	case FTP_FACT_PERM:
		line_add(line, "perm=");
		line_add(line, perm_of(entry, rights));
		break;
	case FTP_FACT_UNIQUE:
		line_add(line, "unique=");
		line_add_number(line, unique_of(entry->path), 16);
		break;
	case FTP_FACT_COUNT:
		return;
	}
	line_add(line, ";");
}

void ftp_format_facts(struct evbuffer *out, const struct tree_entry *entry,
	const struct ftp_rights *rights, unsigned facts, const char *name)
{
	struct line line; /* not cleared */

	line.n = 0;
	for (unsigned i = 0; i < FTP_FACT_COUNT; i++) {
		if (facts & 1U << i)
			add_fact(&line, (enum ftp_fact)i, entry, rights);
	}
	line_add(&line, " ");
	line_add(&line, name);
	line_add(&line, "\r\n");
	(void)evbuffer_add(out, line.p, line.n);
}
