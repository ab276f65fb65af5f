"""Pages: publish static sites from uploaded archives, with a checkpoint of every deploy.

Where these texts cite the contract or a seed, they mean the written agreement on what Pages does;
docs/api.md tells it call by call.

The layers; a module imports from those below it or beside it, never from above (a test holds it)::

    wsgi, cli
    app  commands
    web.console.blueprints
    web.console.settings  web.console.tokens  web.console.versions  web.console.tools
    web.console.site
    web.console.sites  web.console.sign_in  web.console.maintenance  web.console.reference
    web.console.gate  web.console.looks
    web.console.answers
    web.console.language
    web.console.visit  web.console.assets  web.console.texts
    web.console.marks
    web.insight
    web.sites  web.deploys  web.checkpoints  web.plans  web.tokens  web.status  web.tls  web.verify  web.maintenance
    web.serving
    web.errors  web.preview_links
    web.respond
    web.journal  web.front  web.auth  web.logins  web.neighbours  web.requests  web.replies  web.context
    web.proxies
    web.conditions  web.accel  web.language  web.whole_file  web.origins  web.caching  web.navigation  web.terms
    drill
    services  nginx
    nginx_tls
    recovery  upkeep  verify  plans  retention  clock
    publish   backups   full_backup  full_restore
    previews  compare
    settling  uploads
    completing
    versions  quotas  resolve  stock  wanted
    trees     staging   roots   registry   database  full_tar  tokens
    history   public    precompress   lookup   site_rules   due
    work      space    throttle  sessions
    tally
    blocks
    archive   packing   files   paths   config   passwords   media_types   hashed_names   plain_pages   rules
    site_fields
    model     hosts     line    gzips
    patience
    errors    languages
"""
