# make install DESTDIR=... PREFIX=...

BINDIR = $(DESTDIR)$(PREFIX)/bin
LIBDIR = $(DESTDIR)$(PREFIX)/lib
INCDIR = $(DESTDIR)$(PREFIX)/include/umm
MANDIR = $(DESTDIR)$(PREFIX)/share/man/man1

install: build
	install -d $(BINDIR) $(LIBDIR)/pkgconfig $(INCDIR)
	install -m 755 $(B)/umm $(BINDIR)/umm
	install -m 644 $(B)/librmap.a $(LIBDIR)/librmap.a
	install -m 755 $(B)/librmap.so $(LIBDIR)/librmap.so.$(SO_VERSION)
	ln -sf librmap.so.$(SO_VERSION) $(LIBDIR)/$(SO_NAME)
	ln -sf $(SO_NAME) $(LIBDIR)/librmap.so
	install -m 644 $(PUBLIC_HEADERS) $(INCDIR)
	sed -e 's|@PREFIX@|$(PREFIX)|' -e 's|@VERSION@|$(SO_VERSION)|' mk/librmap.pc.in \
		>$(LIBDIR)/pkgconfig/librmap.pc
	if [ -f docs/umm.1 ]; then install -d $(MANDIR) && install -m 644 docs/umm.1 $(MANDIR); fi

.PHONY: install
