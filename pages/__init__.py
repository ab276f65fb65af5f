"""Pages: publish static sites from uploaded archives, with a checkpoint of every deploy.

Where these texts cite the contract or a seed, they mean the written agreement on what Pages does;
docs/api.md tells it call by call.

The layers; a module imports from those below it or beside it, never from above (a test holds it)::

    gunicorn_conf  wsgi, cli
    commands  installation  doctor  init  serve
    app
    client.deploy  client.signing_in  client.tokens  client.checkpoints  client.insight  client.sites  client.service
    client.completion
    client.secrets_asked  client.sending  client.options
    client.api  client.output  client.packing  client.digests
    client.servers  client.multipart  client.folder
    client.address  client.credentials  client.ignore  client.text
    client.exits
    web.console.blueprints
    web.console.plans
    web.console.settings  web.console.tokens  web.console.versions  web.console.tools
    web.console.site
    web.console.sites  web.console.sign_in  web.console.maintenance  web.console.reference
    web.console.gate  web.console.looks
    web.console.answers
    web.console.language
    web.console.visit  web.console.assets  web.console.texts  web.console.sizes
    web.insight
    web.sites  web.deploys  web.checkpoints  web.plans  web.tokens  web.status  web.metrics  web.tls  web.verify
    web.maintenance
    web.serving
    web.errors  web.preview_links
    web.respond
    web.journal  web.front  web.door  web.auth  web.logins  web.neighbours  web.requests  web.replies  web.language
    web.context
    web.proxies
    web.conditions  web.accel  web.whole_file  web.origins  web.caching  web.navigation  web.terms
    drill
    services  nginx
    metrics
    nginx_tls  nginx_words
    recovery  upkeep  verify  plans  retention  clock  webhooks
    publish   backups   full_backup  full_restore
    previews  compare
    settling  uploads
    events  completing
    versions  quotas  resolve  stock  wanted
    trees     staging   roots   registry   database  full_tar  tokens
    history   public    precompress   lookup   site_rules   due
    work      space    throttle  outbox  sessions
    tally
    blocks
    archive   packing   files   paths   config   counters   passwords   media_types   hashed_names   plain_pages   rules
    site_fields  measures  webhook_keys  logs
    model     hosts     line    gzips
    patience
    errors    languages  tracing
"""

# The one place where the version stands: setup.cfg reads it from here.
__version__ = "0.1.0"
