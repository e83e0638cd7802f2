#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "storage/tree.h"

struct evbuffer;

/* How entries of the tree look in listings. */

/* The facts of MLSD and MLST (RFC 3659 section 7.5): id, name */
#define FTP_FACTS(X)                 \
	X(FTP_FACT_TYPE, "type")     \
	X(FTP_FACT_SIZE, "size")     \
	X(FTP_FACT_MODIFY, "modify") \
	X(FTP_FACT_CREATE, "create") \
	X(FTP_FACT_PERM, "perm")     \
	X(FTP_FACT_UNIQUE, "unique")

enum ftp_fact {
#define X(id, name) id,
	FTP_FACTS(X)
#undef X
	FTP_FACT_COUNT
};
enum {
	FTP_FACTS_ALL = (1 << FTP_FACT_COUNT) - 1,
	FTP_TIME_BYTES = 24
};
const char *ftp_fact_name(enum ftp_fact fact);
/* The facts of a list "type;size;", those that we have. */
unsigned ftp_facts_parse(const char *text);

/* What a user may do with an entry. */
struct ftp_rights {
	bool change, delete;
	bool add; /* members of a collection */
};

/* "20261120143000" (RFC 3659 section 2.3). Returns ret. */
char *ftp_format_time(char ret[FTP_TIME_BYTES], int64_t us);
/* Adds a line with CRLF, as `ls -l` writes it, in UTC. */
void ftp_format_list(struct evbuffer *out, const struct tree_entry *entry,
	const struct ftp_rights *rights, int64_t now_us);
/* Adds the facts that are asked for (a set of 1 << fact), a blank, the name, and CRLF. */
void ftp_format_facts(struct evbuffer *out, const struct tree_entry *entry,
	const struct ftp_rights *rights, unsigned facts, const char *name);
